"""What several test files share; none of it is a test."""
