"""What a fit reports: path record, report, notes, timing."""
