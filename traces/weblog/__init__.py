"""Access logs of web servers: their formats, and a compiled scanner that cuts lines into columns."""
