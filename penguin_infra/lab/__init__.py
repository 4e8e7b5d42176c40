"""A world to run against: the provider's simulator and DNS servers, reached over real sockets only.

Nothing below this room knows it; it stands outside the product.
"""
