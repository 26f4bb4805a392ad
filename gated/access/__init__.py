"""Access: schedules, rules, credentials, presence, and why somebody is refused."""
