"""Around DVC's commands and never inside a stage: named studies, the review of a change, the check of a machine."""
