"""What every report needs: texts in two languages, the arms' colours, the style of figures; not their subject."""
