"""Signed tokens as credentials: access tokens of identity providers, and short-lived ones of our own."""
