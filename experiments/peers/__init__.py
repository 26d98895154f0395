"""The same job by other means."""
