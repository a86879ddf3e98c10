"""Photographs as people have them: their formats, their pixels, and what their files say about them."""
