"""Which of many numbers are the largest."""
