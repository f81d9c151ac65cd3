"""What the user sees: plain data in, text out."""
