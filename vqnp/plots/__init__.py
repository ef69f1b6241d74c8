"""Pictures of anyone's data: functions take arrays and ``axes=None``, and return the axes."""
