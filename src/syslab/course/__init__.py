"""What a learner or an author needs: manifest, notebooks, checks, progress, set-up."""
