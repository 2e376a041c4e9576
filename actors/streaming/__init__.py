"""Streams of the exchange: the connection, and the actors that split what it carries by market."""
