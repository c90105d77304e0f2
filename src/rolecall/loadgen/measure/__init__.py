"""What is measured: response times, counts and their course, added up over workers."""
