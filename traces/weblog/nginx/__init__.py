"""What an nginx.conf says about logs and caches."""
