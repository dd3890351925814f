"""What runs as the embedded SageMaker: its protocol, operations, hosting and page. Nothing imports it."""
