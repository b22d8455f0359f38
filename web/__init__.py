"""What people see in a browser: templates and styles, and the one way to make a page of them."""
