"""``ando doctor``: checks what paying needs, and says what to do if something is missing.

It changes nothing, pays nothing and sends no credential. Its output is safe to paste (:func:`report.tidy`).
"""
