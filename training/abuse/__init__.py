"""A classifier of abusive texts, English and Chinese, trained from reported posts and from labelled texts."""
