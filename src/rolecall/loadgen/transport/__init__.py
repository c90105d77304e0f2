"""The way to the target: HTTP/1.1 on gevent sockets."""
