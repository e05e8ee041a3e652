"""Does an error go away when the features that are blamed for it are taken out? (docs/method.md 6.8)"""
