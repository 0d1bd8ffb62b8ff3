"""What is due without anybody asking at that moment: reminders."""
