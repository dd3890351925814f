"""What every report needs: texts in two languages, tables, the style of figures; nothing about their subject."""
