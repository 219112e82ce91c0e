"""Abnormal requests, made from a few good ones by generators with a fixed seed: what is answered to each, and why."""
