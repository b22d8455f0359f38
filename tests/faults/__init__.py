"""What is done to a house on purpose, and whether anything that was acknowledged is lost or done twice."""
