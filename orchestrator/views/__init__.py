"""Views for the user: plain data in, text out."""
