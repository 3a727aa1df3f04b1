"""What scalar functions compute: from columns, each of one length or of one row, to a column."""
