"""`python -m tests.fidelity`: write docs/fidelity.md and its pages anew."""

from tests.fidelity.render import pages

for path, text in pages().items():
    path.write_text(text)
