"""The attendance log: passages, corrections, days of people, reports."""
