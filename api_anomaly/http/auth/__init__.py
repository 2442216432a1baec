"""Who may call: tokens, scopes and the limit on failed attempts."""
