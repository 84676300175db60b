"""Results of papers, reproduced: a file per paper says what is run, what it is compared with, and draws the picture."""
