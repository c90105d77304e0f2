"""What report.html is made of: the style of the page, and the scripts that it runs."""
