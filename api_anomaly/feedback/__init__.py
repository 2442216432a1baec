"""What analysts said: labels, and how they change scores."""
