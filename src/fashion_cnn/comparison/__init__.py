"""Arms side by side: statistics of results, the study's claims and their rule, figures, the report."""
