"""The paper's claims (arXiv 2512.10942), measured with our code: docs/evidence.md.

make evidence
"""
