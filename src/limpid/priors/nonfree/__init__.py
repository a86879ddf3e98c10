"""Methods whose use is restricted by others: off until `allow_nonfree` says that it is allowed; see NOTICE.md here."""
