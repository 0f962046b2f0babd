"""What is asked and answered, as data: requests, the bodies of the routes, streams."""
