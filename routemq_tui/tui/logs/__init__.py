"""What a log view shows, without a widget: which lines, where, found how, written how."""
