"""What lies behind a ranking, as pure functions of arrays: uncertainty, agreement, diagnostics, other rules."""
