"""`fiesta-central doctor`. In: the settings. Out: a finding per dependency and what to do. Changes nothing."""
