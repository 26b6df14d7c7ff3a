"""The drawing of a payment system: what is in it (`drawing`), where it stands (`layout`), and its two forms.

`mermaid` is for Markdown, `svg` for everything else, `queues` the reference page of all queues. All are made from the
checked specs and from nothing else.
"""
