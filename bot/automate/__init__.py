"""What begins without anybody asking at that moment: reminders, and runs of automations."""
