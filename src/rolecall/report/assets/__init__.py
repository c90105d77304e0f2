"""What report.html is made of besides its document: its style, and the scripts that the page runs."""
