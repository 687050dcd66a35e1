"""The rarer rules. Each file has one theme; `tinyode.autodiff.rules` says which."""
