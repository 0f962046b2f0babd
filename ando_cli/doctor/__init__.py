"""``ando doctor``: looks at what paying needs, and says what to do where something is missing.

It changes nothing, pays nothing and sends no credential. What it finds may be pasted anywhere (:func:`report.tidy`).
"""
