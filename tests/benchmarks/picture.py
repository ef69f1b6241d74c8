def save(d): pass
