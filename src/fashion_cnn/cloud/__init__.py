"""The candidate behind a SageMaker endpoint, by the SageMaker SDK; the same code for the embedded cloud and AWS."""
