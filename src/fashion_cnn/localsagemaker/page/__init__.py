"""The page at the endpoint's address: a visitor gives a picture and sees what each network says."""
