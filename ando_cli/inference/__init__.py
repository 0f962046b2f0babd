"""Requests and answers as data: the bodies of the routes, and streams."""
