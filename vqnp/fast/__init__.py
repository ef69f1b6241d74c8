"""Fast versions; nothing here defines anything, and each function equals a loop elsewhere.

Read this folder last. It imports nothing of ``layers`` or ``quantize``.
"""
